"""
OrtValue and the names of element types on the three sides: ONNX, numpy, onnxruntime's strings.
"""
import numpy as np

from . import _errors, _lamina

# ONNX numbers with the names onnxruntime prints; those missing print numpy's.
_ORT_NAMES = {"float32": "float", "float64": "double", "bool": "bool", "string": "string",
              "float8_e4m3fn": "float8e4m3fn", "float8_e4m3fnuz": "float8e4m3fnuz",
              "float8_e5m2": "float8e5m2", "float8_e5m2fnuz": "float8e5m2fnuz",
              "float4_e2m1fn": "float4e2m1", "float8_e8m0fnu": "float8e8m0"}
_CODES = {name: code for code, name in enumerate(_lamina.dtype_names)}
TENSOR, SEQUENCE, NONE, MAP = range(4)


def type_name(code):
    """"float" of 1, as in "tensor(float)"."""
    name = _lamina.dtype_names[code]
    return _ORT_NAMES.get(name, name)


def type_string(kind, code, optional=False, key=0):
    if code == 0:
        return ""
    text = f"tensor({type_name(code)})"
    if key:
        text = f"map({type_name(key)},{text})"
    if kind == SEQUENCE:
        text = f"seq({text})"
    return f"optional({text})" if optional else text


def type_code(element_type):
    """ONNX number of a number, a numpy type or a dtype."""
    if isinstance(element_type, int) and not isinstance(element_type, bool):
        return element_type
    dtype = np.dtype(element_type)
    return _CODES["string"] if dtype.kind in "OUST" else _CODES[dtype.name]


def on_cpu(device_type):
    if device_type.lower() != "cpu":
        _errors.unsupported(f"there is no device {device_type!r} here: values live in host memory")


class OrtValue(_lamina.Value):
    """A tensor, a sequence, a map or an empty optional. numpy arrays are wrapped without a copy."""

    @classmethod
    def ortvalue_from_numpy(cls, numpy_obj, /, device_type="cpu", device_id=0, vendor_id=-1):
        on_cpu(device_type)
        if isinstance(numpy_obj, np.ndarray) and not numpy_obj.flags.c_contiguous:
            numpy_obj = np.ascontiguousarray(numpy_obj)  # ours to write, should it be updated
        value = cls.of(numpy_obj)
        value._source = numpy_obj
        return value

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data, /, onnx_element_type):
        value = cls.of(data, int(onnx_element_type))
        value._source = data
        return value

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape, element_type, device_type="cpu", device_id=0,
                                     vendor_id=-1, memory_info=None):
        on_cpu(device_type)
        return cls.empty(shape, type_code(element_type))

    @classmethod
    def from_dlpack(cls, data, is_bool_tensor=False):
        """Any object with __dlpack__, without a copy; its elements as bool if asked."""
        value = cls.of(data)
        return cls.of(value.numpy().view(np.bool_)) if is_bool_tensor else value

    def to_dlpack(self):
        return self.__dlpack__()

    def shape(self):
        return list(self.dims())

    def element_type(self):
        return self.code()

    def data_type(self):
        return type_string(self.kind(), self.code(), self.kind() == NONE, self.key())

    def data_ptr(self):
        return self.address()

    def tensor_size_in_bytes(self):
        return self.nbytes()

    def device_name(self):
        return "cpu"

    def has_value(self):
        return self.kind() != NONE

    def is_tensor(self):
        return self.kind() == TENSOR

    def is_tensor_sequence(self):
        return self.kind() == SEQUENCE and not self.key()

    def is_sparse_tensor(self):
        return False

    def update_inplace(self, np_arr):
        """Write other numbers of the same shape and type."""
        array = self.numpy()
        if array.shape != np_arr.shape or array.dtype != np_arr.dtype:
            raise _errors.InvalidArgument(
                f"the value holds {array.dtype}{list(array.shape)} and cannot take "
                f"{np_arr.dtype}{list(np_arr.shape)}")
        if array.size and not array.flags.writeable:  # lent by the array it was made from
            source = getattr(self, "_source", None)
            if not (isinstance(source, np.ndarray) and source.flags.writeable
                    and source.ctypes.data == self.address()):
                raise _errors.InvalidArgument("the memory of this value is lent or shared and may "
                                              "not be written: make it by "
                                              "ortvalue_from_shape_and_type")
            array = source.view(array.dtype)
        elif array.size and array.ctypes.data != self.address():
            _errors.unsupported(f"values of {array.dtype} are packed and cannot be updated in "
                                "place: make a new one")
        np.copyto(array, np_arr)
