"""The network of `studies/digits.toml`: a small CNN for images of 8 x 8 pixels."""

import keras


def build(input_shape, classes):
    """Return two convolutions, each with pooling, and a dense layer with Dropout."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Reshape((*input_shape, 1)),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
