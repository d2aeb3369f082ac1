from .cohort.from_files import read_connectomes as read_connectomes
from .cohort.imputed_files import read_imputed as read_imputed
from .cohort.named_matrices import read_matrix as read_matrix
from .dynamic_communities import DynamicCommunities as DynamicCommunities
from .estimator import KrakenEncoder as KrakenEncoder
from .flavors import Flavor as Flavor
from .flavors import parse_flavor as parse_flavor
from .labelled import region_names as region_names
from .labelled import to_edges as to_edges
from .labelled import to_frame as to_frame
from .labelled import to_square as to_square
from .labelled import to_table as to_table
from .models.communities.community_settings import CommunitySettings as CommunitySettings
from .models.communities.model import fit_communities as fit_communities
from .models.krakencoder.adaptation import fit_adaptation as fit_adaptation
from .models.krakencoder.fusion import fuse as fuse
from .models.krakencoder.load import load_model as load_model
from .models.krakencoder.model import Model as Model
from .models.krakencoder.saved_adaptation import read_adaptation as read_adaptation
from .region_orders import reorder_regions as reorder_regions
from .scores.pooled_estimates import pool_estimates as pool_estimates
from .series_estimator import SeriesEncoder as SeriesEncoder

__version__: str
