"""History in and out of a running service, in any form: reading files, sending in order, and the account of it."""
