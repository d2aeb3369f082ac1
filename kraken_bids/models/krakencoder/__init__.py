"""The Krakencoder: network, transforms, adaptation, fusion, training, its files."""
