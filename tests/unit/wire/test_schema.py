import pytest

from pyralog.wire import loading, schema
from pyralog.wire.schemas import index

TEXT = """
Sample 1-4 flexible 3+
request
  name    string
  count   int32 2+ ignorable = -1
  things  []Thing? 2-3
    id    uuid = 00
    size  int64 = 0x7fffffff
    other Other? 3+ tag=1 = null
      flag bool = true
      text string?2+ = null
  last    Other 4
response
"""


def test_every_note_of_the_form() -> None:
    parsed = schema.parse(TEXT.replace(" = 00", ""))
    assert (parsed.name, parsed.first_version, parsed.last_version, parsed.flexible_from) == ("Sample", 1, 4, 3)
    name, count, things, last = parsed.sections["request"].fields
    assert (name.type, name.array, name.versions, name.nullable) == ("string", False, schema.EVERY, schema.NEVER)
    assert (count.versions, count.ignorable, count.default) == ((2, schema.OPEN), True, -1)
    assert (things.array, things.versions, things.nullable, things.default) == (True, (2, 3), schema.EVERY, ())
    assert things.struct is not None
    uuid, size, other = things.struct.fields
    assert (uuid.default, size.default) == (bytes(16), 2**31 - 1)
    assert (other.tag, other.default, other.nullable) == (1, None, schema.EVERY)
    assert other.struct is not None
    assert other.struct is last.struct
    assert [field.default for field in other.struct.fields] == [True, None]
    assert other.struct.fields[1].nullable == (2, schema.OPEN)
    assert (last.versions, last.default) == ((4, 4), "struct")
    assert parsed.sections["response"] == schema.StructSpec("SampleResponse", [])


def test_indentation_below_a_scalar_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to indent under"):
        schema.parse("A 0\nrequest\n  name string\n    more string")


def test_the_index_agrees_with_the_tables() -> None:
    for key, (name, _, low, high, flexible) in index.APIS.items():
        loaded = loading.load_api(key)
        assert loaded.schema[:3] == (name, low, high)
        assert loaded.schema.flexible_from == (schema.OPEN + 1 if flexible is None else flexible)
        structs = set(loaded.classes) - {name + "Request", name + "Response"}
        assert structs == set(index.STRUCTS.get(key, "").split()), key
    for name, structs in (*index.BLOBS.items(), *index.RECORDS.items()):
        assert set(loading.load_blob(name).classes) == {name, *structs.split()}


def test_class_names_are_unique_over_all_tables() -> None:
    names = [name for key in index.APIS for name in loading.load_api(key).classes]
    blobs = (*index.BLOBS, *index.RECORDS)
    names += [name for blob in blobs for name in loading.load_blob(blob).classes]
    assert len(names) == len(set(names)) == len(loading.class_names())
