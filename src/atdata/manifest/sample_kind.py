"""What building manifests needs to know of a sample type."""

from typing import Any

from atdata.codec.compile import SampleCodec, codec_of
from atdata.manifest.fields import plan_fields
from atdata.sample.holding import holds_what_it_is_given


class SampleKind:
    """What building manifests needs to know of a sample type, worked out once.

    Raises:
        TypeError: An annotation asks for an aggregate that does not fit.
    """

    def __init__(self, sample_type: type[Any]) -> None:
        self.codec: SampleCodec[Any] = codec_of(sample_type)
        self.plan = plan_fields(sample_type)
        self.is_plain = bool(self.codec.fields) and holds_what_it_is_given(sample_type)
