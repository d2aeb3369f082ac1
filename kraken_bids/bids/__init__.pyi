from . import custom_atlases as custom_atlases
