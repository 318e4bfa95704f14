"""Files: uploaded by staff and invisible until they say so, or sent by the client."""
