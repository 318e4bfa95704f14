"""marshmallow schemas: one serves JSON API and HTML form alike."""
