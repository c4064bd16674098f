"""Which learning-rate schedule should a Keras model use, and is it really better?"""
