"""Limits on what users may pass, in one place. Lengths are characters unless the name says otherwise."""

RUN_ID = 128
PROJECT = 128
ENTITY = 128
NAME = 1024
NOTES_BYTES = 64 * 1024
GROUP = 128
JOB_TYPE = 128
TAG = 64
TAGS = 100
METRIC_DEFINITIONS = 10_000
#: Custom charts whose panels one run tells its config, which is sent whole.
CHARTS = 1_000
#: Layers of boxes and masks whose class names a run's config has.
CLASS_LABELS = 1_000
#: Deepest nesting of a logged value, config or summary.
MAX_DEPTH = 64
#: Most parts (elements and members on all levels) of one config or summary value.
VALUE_PARTS = 1_000_000
#: Longest JSON text of one config or summary value.
VALUE_BYTES = 10 << 20
#: Arrays with more numbers than this are stored as a histogram.
ARRAY_VALUES = 32
HISTOGRAM_BINS = 64
#: How long an online `init` waits for a server that does not answer, unless the run cannot start without it.
UNREACHABLE_SERVER_SECS = 5.0
