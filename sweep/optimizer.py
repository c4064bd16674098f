"""The optimizer that all members of a study share: what the study file's `[optimizer]` table says.

What may differ between members, or from step to step, is a candidate's and not here: the learning rate, and the
momentum, which is SGD's and RMSprop's `momentum` and Adam's and AdamW's `beta_1`. Ranges and defaults are Keras'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from sweep.errors import BadInput, nearest
from sweep.model import StrictModel

Factor = Annotated[float, Field(ge=0)]


class LayeredOptimizer(StrictModel):
    """What every optimizer has: a learning rate that layers may take a share of, and what Keras takes by default."""

    usual_rate: ClassVar[float] = 0.001
    usual_momentum: ClassVar[float] = 0.0

    layer_rates: dict[str, Factor] = Field(
        default={}, description="factor of the learning rate by layer name; 1 for a layer that is not named"
    )
    layer_decay: float | None = Field(
        default=None, gt=0, le=1, description="factor of each layer's learning rate to that of the layer above it"
    )

    @property
    def layered(self) -> bool:
        """Whether layers have learning rates of their own."""
        return bool(self.layer_rates) or self.layer_decay is not None

    @model_validator(mode="after")
    def _factors_come_from_one_rule(self) -> Self:
        if self.layer_rates and self.layer_decay is not None:
            raise ValueError("give either layer_rates or layer_decay, not both.")
        return self


class Sgd(LayeredOptimizer):
    """Gradient descent with momentum, and Nesterov's if a candidate says so."""

    usual_rate: ClassVar[float] = 0.01

    name: Literal["sgd"] = "sgd"


class AdaptiveMoments(LayeredOptimizer):
    """What Adam and AdamW have in common; their `beta_1` is the candidate's momentum."""

    usual_momentum: ClassVar[float] = 0.9

    beta_2: float = Field(default=0.999, ge=0, lt=1, description="decay of the squared gradient's moving average")
    epsilon: float = Field(default=1e-7, gt=0, description="added to the root of that average")


class Adam(AdaptiveMoments):
    """Adam, without weight decay."""

    name: Literal["adam"] = "adam"


class AdamW(AdaptiveMoments):
    """Adam with weight decay that is decoupled from the gradient."""

    name: Literal["adamw"] = "adamw"
    weight_decay: float = Field(
        default=0.004, ge=0, description="share of every weight lost in a step, times the learning rate"
    )


class RMSprop(LayeredOptimizer):
    """RMSprop with momentum, not centred."""

    name: Literal["rmsprop"] = "rmsprop"
    rho: float = Field(default=0.9, ge=0, lt=1, description="decay of the squared gradient's moving average")
    epsilon: float = Field(default=1e-7, gt=0, description="added to that average under the root")


NAMES = ("sgd", "adam", "adamw", "rmsprop")


def _tag(given: Any) -> str:
    """Return the tag of a table or of an optimizer; the brackets keep it out of an error's field."""
    return f"<{given.get('name', 'sgd') if isinstance(given, dict) else getattr(given, 'name', '')}>"


Optimizer: TypeAlias = Annotated[
    Annotated[Sgd, Tag("<sgd>")]
    | Annotated[Adam, Tag("<adam>")]
    | Annotated[AdamW, Tag("<adamw>")]
    | Annotated[RMSprop, Tag("<rmsprop>")],
    Discriminator(
        _tag,
        custom_error_type="optimizer_name",
        custom_error_message=f"must be a table with a name, one of {', '.join(NAMES)}",
    ),
]


def layer_factors(optimizer: Optimizer, layers: Sequence[str]) -> dict[str, float]:
    """Return the factor of each layer's learning rate; `layers` have weights to train, from input to output.

    Raises:
        BadInput: if `layer_rates` names a layer that is not among `layers`.

    >>> layer_factors(Sgd(layer_decay=0.5), ["first", "second", "output"])
    {'first': 0.25, 'second': 0.5, 'output': 1.0}
    """
    if optimizer.layer_decay is not None:
        depths = reversed(range(len(layers)))
        return {layer: optimizer.layer_decay**depth for layer, depth in zip(layers, depths, strict=True)}
    for name in optimizer.layer_rates:
        if name not in layers:
            known = f"{nearest(name, layers)}; there are {', '.join(layers)}" if layers else ""
            raise BadInput("optimizer.layer_rates", f"there is no layer `{name}` with weights to train{known}")
    return {layer: optimizer.layer_rates.get(layer, 1.0) for layer in layers}
