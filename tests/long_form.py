"""Whether tests run in their long form, which `make soak` selects: more cases and longer faults."""

import os

IS_LONG = os.environ.get("SOAK") == "long"
