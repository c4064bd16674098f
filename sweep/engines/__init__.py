"""How members are trained: compiled programs for whole populations; TensorFlow and Keras load here and in `fit`."""
