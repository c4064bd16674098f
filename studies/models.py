"""The networks of the studies beside this file: what `[model] build` names, by Keras alone."""

import keras
from keras import layers


def cnn(input_shape, classes):
    """Return two convolutions, each with pooling, and a dense layer with Dropout, for small images of 0 to 16."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Rescaling(1 / 16),
            layers.Reshape((*input_shape, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def dropout_stack(features):
    """Return two dense layers with Dropout and a sigmoid, for two classes."""
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def letters_lstm(input_shape):
    """Return an LSTM over embedded letters, 1 to 26 and 0 after the end of a word, for two classes."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Embedding(27, 8),
            layers.LSTM(16),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
