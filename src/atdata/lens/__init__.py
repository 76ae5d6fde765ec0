"""Views of samples as other types, which can be read and written back.

::

    _laws         are two values the same; does a lens keep its promises
    _lens         Lens: get, put, and how lenses join
    _conversions  what a mapped lens does to values on the way, and back
    _mapped       the lens that a list of rules makes
    _structural   lenses made from fields of the same name and type
    _rules        whether rules are a lens between two types
    _mapping      lenses declared as data: mapping, cast, astype
    _copied       which fields of a view are fields of the sample; loaded when it is used
    _network      which lens leads from one type to another
    _code         lenses by name and digest; loaded, as is _record, when it is used
    _record       lenses to records and back
"""

from atdata.lens._laws import Counterexample as Counterexample
from atdata.lens._laws import LawReport as LawReport
from atdata.lens._laws import LawResult as LawResult
from atdata.lens._lens import DatasetType as DatasetType
from atdata.lens._lens import Lens as Lens
from atdata.lens._lens import LensGetter as LensGetter
from atdata.lens._lens import LensKind as LensKind
from atdata.lens._lens import LensPutter as LensPutter
from atdata.lens._lens import LensSignature as LensSignature
from atdata.lens._mapping import Taken as Taken
from atdata.lens._mapping import astype as astype
from atdata.lens._mapping import cast as cast
from atdata.lens._mapping import constant as constant
from atdata.lens._mapping import default as default
from atdata.lens._mapping import mapping as mapping
from atdata.lens._mapping import unwrap as unwrap
from atdata.lens._network import LensNetwork as LensNetwork
from atdata.lens._network import lens as lens
