"""Draw the shipped dashboard, filled by real daemons in bad weather and asked of a real Prometheus."""
