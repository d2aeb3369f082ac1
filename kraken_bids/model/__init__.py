"""The Krakencoder: network, transforms, adaptation, fusion, prediction, formats; torch lives here."""
