"""Views of samples as other types, which can be read and written back.

::

    _laws        are two values the same; does a lens keep its promises
    _lens        Lens: get, put, and how lenses join
    _structural  lenses made from fields of the same name and type
    _network     which lens leads from one type to another
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
from atdata.lens._network import LensNetwork as LensNetwork
from atdata.lens._network import lens as lens
