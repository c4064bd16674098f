"""Training by Keras' own `fit`: the reference for the engines, and `sweep train`."""
