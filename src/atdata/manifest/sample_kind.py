"""What building manifests needs to know of a sample type."""

from typing import Any

from atdata.codec.compile import SampleCodec, codec_of
from atdata.manifest.fields import FieldPlan, plan_fields
from atdata.manifest.twin import plain_twin


class SampleKind:
    """What building manifests needs to know of a sample type, worked out once.

    Samples are looked at as a class without hooks would hold them, because readers may have
    another class, or none.

    Attributes:
        codec: Reads payloads.
        plan: The columns.
        is_plain: Payloads may be looked at all at once.

    Raises:
        TypeError: An annotation asks for an aggregate that does not fit.
    """

    def __init__(self, sample_type: type[Any]) -> None:
        self.codec: SampleCodec[Any] = codec_of(sample_type)
        self.plan = plan_fields(sample_type)
        self.is_plain = False
        if self.plan.is_open:
            return
        twin = plain_twin(sample_type)
        if twin is None:
            reason = "its class may change what it is given, and no plain one can be made of it"
            self.plan = FieldPlan(left_out={one.name: reason for one in self.codec.fields})
            return
        if twin is not sample_type:
            self.codec, self.plan = codec_of(twin), plan_fields(twin)
        self.is_plain = bool(self.codec.fields)
