"""What a trained model is: format, files, needs, signature; detection never unpickles."""
