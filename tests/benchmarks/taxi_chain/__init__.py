"""The Chicago taxi example of TFX: nine standard components, nothing of this project in them."""
