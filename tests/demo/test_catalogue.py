from clickstream.demo.catalogue import ITEMS_PER_KIND, KINDS, PLAIN, make_catalogue


def test_the_catalogue_is_a_function_of_its_seed():
    """The same seed gives the same items, another seed others."""
    assert make_catalogue(1) == make_catalogue(1)
    assert make_catalogue(1) != make_catalogue(2)


def test_the_shop_has_some_hundred_items_with_ids_of_their_own():
    """Twelve items of each kind, each under its own id and with text."""
    items = make_catalogue()
    assert len(items) == len(KINDS) * ITEMS_PER_KIND == 288
    assert len({item.object_id for item in items}) == len(items)
    assert all(item.meta["title"] and item.meta["text"] and item.meta["category"] for item in items)


def test_no_item_text_contains_slang():
    """Only clicks show the meaning of slang: no text of an item contains it."""
    texts = " ".join(" ".join(item.meta.values()) for item in make_catalogue()).lower()
    assert [slang for slang in PLAIN if slang in texts] == []


def test_slang_is_no_plain_word():
    """Every slang word means one thing, and none is among the plain words that customers use."""
    plain = {word for phrase in PLAIN.values() for word in phrase.split()}
    assert len(PLAIN) == 36
    assert plain.isdisjoint(PLAIN)


def test_no_two_items_of_a_kind_share_material_and_style():
    """A search for kind, material and style has one full answer."""
    items = make_catalogue()
    assert len({(item.kind, item.material, item.style) for item in items}) == len(items)
