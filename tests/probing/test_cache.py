"""What is read from the cache is what was computed; whatever is in doubt is computed anew."""

import numpy as np
import pytest
import torch
from PIL import Image

from brainalign.data.stimuli import ImageFile, StimulusSet
from brainalign.errors import ResponsesError
from brainalign.networks import Preprocessing


def test_second_time_reads_the_cache_bit_for_bit(shown, assert_same, run):
    first = run()
    assert len(shown) == 2  # the sizes, then the answers
    assert_same(run(), first)
    assert len(shown) == 2
    assert list(first) == ["conv", "norm", "relu[0]", "relu[1]"]


def test_cache_can_be_left_out(shown, assert_same, stored, run):
    first = run(cache=False)
    assert not stored()
    assert_same(run(cache=False), first)
    assert len(shown) == 4


def test_features_are_computed_each_time(shown, run):
    assert all(layer.features is not None for layer in run(keep_features=True).values())
    run()
    assert all(layer.features is not None for layer in run(keep_features=True).values())
    assert len(shown) == 6


def test_only_layers_that_are_missing_are_computed(shown, assert_same, run):
    whole = run(cache=False)
    shown.clear()
    run(layers="conv")
    run(layers="relu")
    assert len(shown) == 4
    assert_same(run(layers=["conv", "relu"]), {name: whole[name] for name in ("conv", "relu[0]", "relu[1]")})
    assert len(shown) == 4
    assert_same(run(), whole)
    assert len(shown) == 6


def test_modules_that_are_not_called_are_remembered(shown, run):
    assert "unused" not in run(layers="*")
    batches = len(shown)
    run(layers="*")
    assert len(shown) == batches
    with pytest.raises(ResponsesError, match="never calls layer 'unused'"):
        run(layers="unused")


def test_how_it_is_computed_does_not_matter(shown, assert_same, run):
    """Batch size and memory decide the last bit of rounding at most."""
    first = run()
    assert_same(run(batch_size=1, memory=4 * 9), first)
    assert len(shown) == 2


def _changed_weight(network):
    network.conv.weight.data[0, 0, 0, 0] += 1e-6


def _changed_buffer(network):
    network.norm.running_var[2] += 1e-6


def _changed_attribute(network):
    network.setting = 0.25


@pytest.mark.parametrize("change", [_changed_weight, _changed_buffer, _changed_attribute])
def test_a_change_of_the_network_misses(shown, change, assert_same, plain, run):
    network = plain()
    before = run(network)
    change(network)
    after = run(network)
    assert len(shown) == 4
    assert any(after[name].gram.tobytes() != layer.gram.tobytes() for name, layer in before.items())
    assert_same(run(network), after)
    assert len(shown) == 4


@pytest.mark.parametrize("options", [{"size": 9}, {"reduction": "pool:2"}, {"reduction": "project:0.9"}])
def test_other_options_miss(shown, options, run):
    run()
    run(**options)
    assert len(shown) == 4


def test_other_stimuli_miss(shown, make_stimuli, run):
    run()
    run(stimuli=make_stimuli(seed=1))
    run(stimuli=make_stimuli().select(make_stimuli().ids[::-1]))
    assert len(shown) == 6


def test_renamed_stimuli_miss(shown, make_stimuli, run):
    pixels = list(make_stimuli().images.values())
    run()
    renamed = run(stimuli=StimulusSet.from_ids([f"picture{i}" for i in range(9)], pixels))
    assert len(shown) == 4
    assert renamed["conv"].stimuli[0] == "picture0"


def test_ids_come_back_as_they_were(assert_same, make_stimuli, run):
    ids = ["", " ", "é", "a\0", "日本", "x" * 500]
    stimuli = StimulusSet.from_ids(ids, list(make_stimuli(6).images.values()))
    assert_same(run(stimuli=stimuli), run(stimuli=stimuli))
    assert run(stimuli=stimuli)["conv"].stimuli == tuple(ids)


def test_what_is_read_is_the_callers_own(assert_same, run):
    first = run()
    for layer in (run()["conv"], run()["conv"]):
        layer.gram[:] = layer.mean_products[:] = layer.row_sums[:] = np.nan
    assert_same(run(), first)


def test_networks_with_hooks_are_not_stored(shown, stored, plain, run):
    network = plain()
    network.relu.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    run(network)
    run(network)
    assert len(shown) == 4
    assert not stored()


def test_networks_that_draw_random_numbers_are_not_stored(shown, stored, run, plain):
    class Noisy(type(plain())):
        def forward(self, x):
            return super().forward(x) + torch.rand(1)

    run(plain(kind=Noisy))
    run(plain(kind=Noisy))
    assert len(shown) == 4
    assert not stored()


def test_networks_that_change_while_they_run_are_not_stored(stored, run, plain):
    class Counting(type(plain())):
        def forward(self, x):
            self.setting += 1
            return super().forward(x)

    run(plain(kind=Counting))
    assert not stored()


def test_images_that_change_while_they_are_shown_are_not_stored(
    tmp_path, monkeypatch, stored, make_stimuli, run
):
    file = tmp_path / "image.png"
    pixels = make_stimuli().images["image0"]
    Image.fromarray(pixels).save(file)
    stimuli = StimulusSet.from_ids(["image"], [ImageFile(file)])
    original = Preprocessing.standardised

    def replaced(self, batch):
        Image.fromarray(255 - pixels).save(file)
        return original(self, batch)

    monkeypatch.setattr(Preprocessing, "standardised", replaced)
    run(stimuli=stimuli)
    assert not stored()
