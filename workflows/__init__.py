"""The workflows: each is declared in one file, from which pages, API, mails and docs follow."""
