from typing import Any

Foreign = Any
