"""Networks under the names that the table gives them, and the controls that belong beside them."""

import pytest
from torch import nn

from brainalign.compare.candidates import Candidate, candidate, with_controls
from brainalign.errors import BrainalignError, UnknownNameError


def identities(candidates):
    return [(each.name, each.seed) for each in candidates]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pixels", ("pixels", -1, "")),
        ("gabor:64", ("gabor:64", -1, "")),
        ("convnet", ("convnet@untrained", 0, "untrained")),
        ("convnet@untrained:7", ("convnet@untrained", 7, "untrained")),
        ("torchvision:resnet18", ("torchvision:resnet18", -1, "")),
        ("torchvision:resnet18@untrained", ("torchvision:resnet18@untrained", 0, "untrained")),
    ],
)
def test_a_name_says_network_seed_and_rule(name, expected):
    found = candidate(name)
    assert (found.name, found.seed, found.rule) == expected
    assert found.source == name and found.module is None
    assert found.control == (name.partition(":")[0] in ("pixels", "gabor"))


def test_modules_go_by_their_class_or_by_the_name_given(make_network):
    network = make_network()
    assert identities([candidate(network), candidate(("mine", network))]) == [("ConvNet", -1), ("mine", -1)]
    found = candidate(("pixels", network))
    assert found.load() is network
    # A module called like a control is still a network.
    assert not found.control


def test_the_same_name_gives_the_same_weights():
    first, second = (candidate("convnet@untrained:3").load() for _ in range(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert (one == other).all()


def test_unknown_and_impossible_names_raise():
    with pytest.raises(UnknownNameError, match="Did you mean"):
        candidate("convnt")
    with pytest.raises(BrainalignError, match="no weights to draw"):
        candidate("pixels@untrained")


def test_a_named_network_gets_its_untrained_self_and_controls_at_its_size():
    found = with_controls([candidate("convnet@untrained:7")])
    assert identities(found) == [
        ("convnet@untrained", 7),
        ("convnet@untrained", 0),
        ("convnet@untrained", 1),
        ("convnet@untrained", 2),
        ("pixels", -1),
        ("gabor", -1),
    ]
    assert [each.load().preprocessing.size for each in found] == [32] * 6
    assert [each.control for each in found] == [False] * 4 + [True] * 2


def test_a_module_gets_controls_at_its_size_but_no_untrained_self(make_network):
    found = with_controls([candidate(("mine", make_network(size=48)))])
    assert identities(found) == [("mine", -1), ("pixels", -1), ("gabor", -1)]
    assert [each.load().preprocessing.size for each in found] == [48] * 3


def test_networks_of_two_sizes_get_controls_at_both(make_network):
    found = with_controls([candidate(("a", make_network(size=32))), candidate(("b", make_network(size=40)))])
    assert identities(found)[2:] == [("pixels:32", -1), ("pixels:40", -1), ("gabor:32", -1), ("gabor:40", -1)]
    assert [each.load().preprocessing.size for each in found] == [32, 40, 32, 40, 32, 40]


def test_images_too_small_for_gabor_patches_are_enlarged_for_them(make_network):
    found = with_controls([candidate(("digits", make_network(size=28)))])
    assert [(each.name, each.load().preprocessing.size) for each in found] == [
        ("digits", 28),
        ("pixels", 28),
        ("gabor", 32),
    ]


def test_what_is_named_already_is_not_added_twice():
    names = ["pixels", "convnet@untrained:1", "convnet"]
    found = with_controls([candidate(name) for name in names])
    assert len(set(identities(found))) == len(found) == 5
    assert identities(found)[:3] == [("pixels", -1), ("convnet@untrained", 1), ("convnet@untrained", 0)]


def test_controls_alone_stay_alone():
    found = with_controls([candidate("pixels"), candidate("gabor:64")])
    assert identities(found) == [("pixels", -1), ("gabor:64", -1)]


def test_a_control_of_a_size_of_its_own_keeps_it():
    found = with_controls([candidate("pixels:8"), candidate("convnet")])
    sizes = {each.name: each.load().preprocessing.size for each in found}
    assert sizes["pixels:8"] == 8 and sizes["pixels"] == 32


def test_a_network_that_is_no_catalogue_entry_is_a_candidate_by_hand():
    network = nn.Flatten()
    made = Candidate("flat", seed=4, rule="none", module=network)
    assert with_controls([made])[0] is made
