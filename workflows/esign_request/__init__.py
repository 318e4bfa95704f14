"""eSign request: a PDF, signers, and one sealed document at the end (docs/esign.md)."""
