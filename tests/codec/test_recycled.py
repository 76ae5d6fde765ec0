"""Memory is handed out again only when nothing looks at it any more."""

import gc

import numpy as np

from atdata.codec.recycled import empty


def test_memory_in_use_is_never_handed_out_again() -> None:
    """Views of any depth keep it."""
    array = empty((512, 512), np.dtype("u1"))
    array[:] = 7
    kept = [
        array[3],
        array.reshape(-1)[5:9].view("i1"),
        array.T[1:],
        np.asarray(memoryview(array))[4],
    ]
    del array

    others = [empty((512, 512), np.dtype("u1")) for _ in range(4)]
    for other in others:
        other[:] = 99

    assert all((view == 7).all() for view in kept)


def test_memory_comes_back_when_it_is_let_go() -> None:
    """The next array of that size lies where the last one was."""
    array = empty((777, 511), np.dtype("u1"))
    place = array.ctypes.data
    del array
    gc.collect()

    assert empty((777, 511), np.dtype("u1")).ctypes.data == place
