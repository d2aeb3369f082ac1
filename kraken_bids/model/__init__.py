"""The Krakencoder: network, transforms, adaptation, fusion, formats; torch lives here."""
