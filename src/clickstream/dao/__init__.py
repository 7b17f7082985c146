"""The store: sole importer of pymongo."""
