"""Sequence mixers and policies with memory: parts, steps and forks agree with whole scans."""

import pytest
import torch
from torch import Tensor, nn

from mail_policy.models.config import HeadConfig, MixerKind
from mail_policy.models.mixers import Mixer, make_mixer
from mail_policy.models.policy import MailPolicy
from mail_policy.models.stacks import Stack
from mail_policy.models.state import State
from tests.unit.model_zoo import BC, DDP, FLOW, RAW, RECURRENT, perturb, small_policy, stack

BATCH, LENGTH, WIDTH = 3, 11, 32
# float64, so that only mistakes are left of the difference; a layer in float32 agrees to 1e-6.
EXACT = {"rtol": 0.0, "atol": 1e-11}


def mixer(kind: MixerKind, dtype: torch.dtype = torch.float64) -> Mixer:
    torch.manual_seed(0)
    made = make_mixer(stack(kind), WIDTH)
    perturb(made)
    return made.to(dtype).eval()  # type: ignore[return-value]


def tokens(dtype: torch.dtype = torch.float64, length: int = LENGTH) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(BATCH, length, WIDTH, dtype=dtype)


def flat(state: object) -> list[Tensor]:
    if isinstance(state, State):
        return [tensor for part in state.parts for tensor in flat(part)]
    assert isinstance(state, Tensor)
    return [state]


def assert_same(got: State, expected: State, **tolerance: float) -> None:
    for a, b in zip(flat(got), flat(expected), strict=True):
        torch.testing.assert_close(a, b, **(tolerance or EXACT))


@pytest.mark.parametrize("kind", MixerKind)
@pytest.mark.parametrize("split", range(1, LENGTH))
def test_a_sequence_in_two_parts_gives_what_the_whole_gives(kind: MixerKind, split: int) -> None:
    part, sequence = mixer(kind), tokens()
    whole, last = part(sequence, part.empty_state(BATCH))
    head, state = part(sequence[:, :split], part.empty_state(BATCH))
    tail, state = part(sequence[:, split:], state)
    torch.testing.assert_close(torch.cat([head, tail], 1), whole, **EXACT)
    assert_same(state, last)


@pytest.mark.parametrize("kind", MixerKind)
@pytest.mark.parametrize("length", [1, 2, LENGTH])
def test_stepping_gives_what_scanning_gives(kind: MixerKind, length: int) -> None:
    part, sequence = mixer(kind, torch.float32), tokens(torch.float32, length)
    whole, last = part(sequence, part.empty_state(BATCH))
    state, outputs = part.empty_state(BATCH), []
    for t in range(length):
        output, state = part.step(sequence[:, t : t + 1], state)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs, 1), whole, rtol=0, atol=1e-6)
    assert_same(state, last, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", MixerKind)
def test_nothing_looks_ahead(kind: MixerKind) -> None:
    part, sequence = mixer(kind, torch.float32), tokens(torch.float32)
    changed = sequence.clone()
    changed[:, 6:] = torch.randn(BATCH, LENGTH - 6, WIDTH)
    before, _ = part(sequence, part.empty_state(BATCH))
    after, _ = part(changed, part.empty_state(BATCH))
    torch.testing.assert_close(after[:, :6], before[:, :6], rtol=0, atol=1e-6)
    assert (after[:, 6:] - before[:, 6:]).abs().min() > 0.0


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_row_can_start_again_without_the_others(kind: MixerKind) -> None:
    whole = Stack(stack(kind), WIDTH).eval()
    perturb(whole)
    first, second = tokens(torch.float32), torch.randn(BATCH, LENGTH, WIDTH)
    _, state = whole(first)
    rows = torch.tensor([False, True, False])
    after, _ = whole(second, state.reset(rows))
    kept, _ = whole(second, state)
    fresh, _ = whole(second)
    torch.testing.assert_close(after[~rows], kept[~rows])
    torch.testing.assert_close(after[rows], fresh[rows])
    assert not torch.allclose(kept[rows], fresh[rows], atol=1e-4)


def test_a_clone_shares_nothing_and_a_detached_state_has_no_gradient() -> None:
    whole = Stack(stack(MixerKind.MAMBA), WIDTH)
    _, state = whole(tokens(torch.float32))
    assert all(tensor.requires_grad for tensor in flat(state))
    assert not any(tensor.requires_grad for tensor in flat(state.detach()))
    copied = state.detach().clone()
    for tensor in flat(copied):
        tensor.fill_(7.0)
    assert not any((tensor == 7.0).all() for tensor in flat(state))


def stateful(backbone: str, head: HeadConfig = BC) -> MailPolicy:
    return small_policy(backbone, head, language=RAW, history=1, stateful=True)


STATEFUL = ["d_ma", "ed_ma", "ed_gru", "ed_lstm", "ed_s4d"]
TASKS = torch.tensor([0, 1])


@pytest.mark.parametrize("backbone", STATEFUL)
@pytest.mark.parametrize("head", [BC, DDP, FLOW], ids=["bc", "ddp", "flow"])
def test_an_episode_step_by_step_with_plans_in_between_equals_one_scan(
    backbone: str, head: HeadConfig
) -> None:
    # In float64 only mistakes are left of the difference.
    policy = stateful(backbone, head).double()
    frames = torch.randn(2, 12, policy.feature_size, dtype=torch.float64)

    def decide(state: State) -> Tensor:
        return policy.decide(state, 2, torch.Generator().manual_seed(0))

    with torch.inference_mode():
        state = policy.begin(TASKS)
        for t in range(12):
            state = policy.observe(frames[:, t : t + 1], state)
            before = [tensor.clone() for tensor in flat(state)]
            chunk = decide(state)
            # Planning leaves no trace.
            assert all(map(torch.equal, flat(state), before))
            scanned = policy.observe(frames[:, : t + 1], policy.begin(TASKS))
            torch.testing.assert_close(chunk, decide(scanned), **EXACT)
    assert chunk.shape == (2, 4, 7)


@pytest.mark.parametrize("backbone", STATEFUL)
def test_a_policy_with_memory_learns_what_no_window_shows(backbone: str) -> None:
    """The first frame says what to do; five frames without meaning follow."""
    torch.manual_seed(0)
    policy = stateful(backbone).train()
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    mask = torch.ones(16, 4)
    for _ in range(80):
        cue = torch.randint(0, 2, (16, 1)) * 2.0 - 1.0
        frames = torch.zeros(16, 6, policy.feature_size)
        frames[:, 0] = cue
        frames[:, 1:] = 0.1 * torch.randn(16, 5, policy.feature_size)
        state = policy.observe(frames, policy.begin(torch.zeros(16, dtype=torch.long)))
        actions = cue.unsqueeze(-1).expand(16, 4, 7)
        loss = policy.decision_loss(state, actions, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    # Without memory the best answer is 0, with a loss of 1.
    assert float(loss.detach()) < 0.1


def test_the_gradient_of_a_decision_reaches_the_first_frame_until_it_is_cut() -> None:
    policy = stateful("ed_ma")
    frames = torch.randn(2, 8, policy.feature_size, requires_grad=True)
    half = policy.observe(frames[:, :4], policy.begin(TASKS))
    for state, reached in ((half, True), (half.detach(), False)):
        frames.grad = None
        end = policy.observe(frames[:, 4:], state)
        loss = policy.decision_loss(end, torch.randn(2, 4, 7), torch.ones(2, 4))
        loss.backward(retain_graph=True)
        assert frames.grad is not None
        assert bool((frames.grad[:, 0] != 0).any()) is reached
        assert bool((frames.grad[:, 4:] != 0).any())


def test_windows_and_states_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="looks at windows"):
        small_policy().begin(TASKS)
    policy = stateful("d_ma")
    with pytest.raises(ValueError, match="use begin, observe and decide"):
        policy.predict(torch.randn(2, 1, policy.feature_size), TASKS)
    assert isinstance(policy.backbone, nn.Module)
