"""How the platform is carried: one machine under a supervisor, containers, Kubernetes."""
