"""Client requests: surveys that staff send and clients answer."""
