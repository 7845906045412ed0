"""A Kubernetes small enough to run in a test: an API that real Helm talks to, and a node that runs real containers.

What it does as Kubernetes does is what a pod of the chart depends on: the order in which containers start and stop,
probes, volumes that change under running containers, users and groups, restarts, Services, names. What it is not: no
admission, no defaulting, no scheduler, no enforced NetworkPolicy, no limits on volumes.
"""
