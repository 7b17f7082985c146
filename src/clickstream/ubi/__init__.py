"""Import of OpenSearch UBI history (User Behavior Insights), through the service's RPCs."""
