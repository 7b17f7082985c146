"""Import of OpenSearch UBI history, through the RPCs."""
