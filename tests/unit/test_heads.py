"""Denoising heads: the published schedule and sampler, and what flow matching does instead."""

import pytest
import torch
from torch import Tensor, nn

from mail_policy.models.config import HeadConfig, HeadKind
from mail_policy.models.diffusion import Schedule, cosine_betas
from mail_policy.models.heads import DiffusionHead, FlowHead, RegressionHead, SinusoidalEmbedding
from mail_policy.training.optimiser import AveragedWeights, ema_decay
from tests.unit.model_zoo import DDP, FLOW, HEADS, small_policy

LEVELS = 16
LOW, HIGH = torch.full((7,), -3.0), torch.full((7,), 3.0)
# Both tables: mail-model.md 1.5.
PUBLISHED_BETAS = """
    .011868 .030692 .049739 .069385 .090051 .112245 .136617 .164039
    .195751 .233596 .280480 .341278 .424809 .548444 .747613 .999"""
PUBLISHED_KEPT = """
    .988132 .957805 .910164 .847012 .770738 .684227 .590750 .493844
    .397173 .304395 .219018 .144272 .082984 .037472 .009457 9.457e-6"""


def table(text: str) -> Tensor:
    return torch.tensor([float(word) for word in text.split()], dtype=torch.float64)


def noise(seed: int = 0, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(LEVELS + 1, batch, 5, 7, generator=generator)


def oracle(schedule: Schedule, clean: Tensor) -> object:
    """Return a network that knows the clean chunk, and so the noise in any mixture."""

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        kept = schedule.kept[level].view(-1, 1, 1)
        return (noisy - kept.sqrt() * clean) / (1.0 - kept).sqrt()

    return predict


def test_the_schedule_is_the_published_one() -> None:
    betas = cosine_betas(LEVELS)
    torch.testing.assert_close(betas, table(PUBLISHED_BETAS), rtol=0, atol=6e-7)
    kept = Schedule(LEVELS).kept.double()
    torch.testing.assert_close(kept[:15], table(PUBLISHED_KEPT)[:15], rtol=0, atol=6e-7)
    torch.testing.assert_close(kept[15], table(PUBLISHED_KEPT)[15], rtol=2e-4, atol=0)


def test_an_oracle_of_the_noise_gives_the_clean_chunk() -> None:
    schedule = Schedule(LEVELS)
    clean = torch.rand(2, 5, 7) * 2 - 1
    sample = schedule.sample(oracle(schedule, clean), noise(), LOW, HIGH)
    torch.testing.assert_close(sample, clean, rtol=0, atol=1e-5)


def test_samples_stay_between_the_bounds() -> None:
    schedule = Schedule(LEVELS)
    far = torch.full((2, 5, 7), 8.0)
    sample = schedule.sample(oracle(schedule, far), noise(), LOW, HIGH)
    torch.testing.assert_close(sample, torch.full_like(far, 3.0))


def test_noise_is_drawn_for_every_level_but_the_last_draw_is_unused() -> None:
    schedule = Schedule(LEVELS)
    network = nn.Sequential(nn.Linear(7, 7), nn.Tanh())

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        return network(noisy) + 0.0 * level.view(-1, 1, 1)

    drawn = noise()
    with torch.inference_mode():
        sample = schedule.sample(predict, drawn, LOW, HIGH)
        for step in range(LEVELS + 1):
            changed = drawn.clone()
            changed[step] += 0.5
            same = torch.equal(schedule.sample(predict, changed, LOW, HIGH), sample)
            assert same == (step == LEVELS)


def test_a_sampler_step_is_the_published_formula() -> None:
    schedule = Schedule(LEVELS)
    x, eps, fresh = torch.randn(3, 1, 5, 7).unbind(0)
    steps: list[Tensor] = []

    def predict(noisy: Tensor, level: Tensor) -> Tensor:
        steps.append(noisy)
        return eps

    drawn = noise(batch=1)
    drawn[0], drawn[1] = x, fresh
    schedule.sample(predict, drawn, LOW, HIGH)
    beta, kept, before = schedule.betas[15], schedule.kept[15], schedule.kept[14]
    clean = ((1 / kept).sqrt() * x - (1 / kept - 1).sqrt() * eps).clamp(-3.0, 3.0)
    mean = beta * before.sqrt() / (1 - kept) * clean
    mean = mean + (1 - before) * (1 - beta).sqrt() / (1 - kept) * x
    expected = mean + (beta * (1 - before) / (1 - kept)).sqrt() * fresh
    torch.testing.assert_close(steps[1], expected)


def test_mixing_in_noise_keeps_the_power() -> None:
    schedule = Schedule(LEVELS)
    torch.manual_seed(0)
    level = torch.arange(LEVELS).repeat_interleave(200)
    actions, eps = torch.randn(2, len(level), 5, 7)
    power = schedule.add_noise(actions, eps, level).square().mean(dim=(1, 2)).view(LEVELS, -1)
    torch.testing.assert_close(power.mean(dim=1), torch.ones(LEVELS), rtol=0, atol=0.05)


def test_the_time_embedding_is_the_published_one() -> None:
    embedding = SinusoidalEmbedding(128)(torch.tensor([0.0, 3.0]))
    assert embedding.shape == (2, 128)
    frequencies = torch.tensor([1e4 ** (-i / 63) for i in range(64)])
    torch.testing.assert_close(embedding[1, :64], (3.0 * frequencies).sin())
    torch.testing.assert_close(embedding[1, 64:], (3.0 * frequencies).cos())


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_flow_follows_a_straight_line_in_any_number_of_steps(steps: int) -> None:
    head = small_policy(head=HeadConfig(kind=HeadKind.FLOW, steps=steps)).head
    assert isinstance(head, FlowHead)
    clean = torch.rand(2, 4, 7) * 2 - 1
    times: list[float] = []

    def network(mix: object, positions: Tensor, noisy: Tensor, time: Tensor) -> Tensor:
        times.append(float(time[0]))
        # On the line from noise to the clean chunk the velocity is that of what is left.
        return (clean - noisy) / (1.0 - time.view(-1, 1, 1) / 1000.0)

    object.__setattr__(head, "network", network)
    sample = head.sample(lambda actions, time=None: actions, torch.zeros(2, 4, 32))
    torch.testing.assert_close(sample, clean, rtol=0, atol=1e-5)
    assert times == pytest.approx([1000.0 * k / steps for k in range(steps)])


@pytest.mark.parametrize("name", ["ddp", "ddp-paper", "flow"])
def test_samples_depend_on_the_seed_and_on_nothing_else(name: str) -> None:
    policy = small_policy(head=HEADS[name])
    frames, tasks = torch.randn(1, 3, policy.feature_size), torch.tensor([0])
    with torch.inference_mode():
        first, again, other = (
            policy.predict(frames, tasks, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
        )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize("name", HEADS)
def test_a_loss_falls_when_the_policy_learns(name: str) -> None:
    torch.manual_seed(0)
    policy = small_policy(head=HEADS[name]).train()
    frames, tasks = torch.randn(8, 3, policy.feature_size), torch.zeros(8, dtype=torch.long)
    actions, mask = torch.randn(8, 1, 7).expand(8, 4, 7), torch.ones(8, 4)
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    losses = []
    for step in range(60):
        generator = torch.Generator().manual_seed(step)
        loss = policy.loss(frames, tasks, actions, mask, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


@pytest.mark.parametrize("head", [DDP, FLOW], ids=["ddp", "flow"])
def test_masked_rows_do_not_count_in_the_loss_of_noise(head: HeadConfig) -> None:
    policy = small_policy(head=head)
    frames, tasks = torch.randn(2, 3, policy.feature_size), torch.tensor([0, 0])
    mask = torch.ones(2, 4)
    mask[:, -1] = 0.0
    actions = torch.randn(2, 4, 7)
    changed = actions.clone()
    changed[:, -1] += 100.0
    # The last row comes last in a causal sequence, so the others do not see it.
    losses = [
        policy.loss(frames, tasks, values, mask, torch.Generator().manual_seed(0))
        for values in (actions, changed)
    ]
    torch.testing.assert_close(losses[0], losses[1])


def test_bounds_must_be_in_order() -> None:
    head = small_policy(head=DDP).head
    assert isinstance(head, DiffusionHead)
    with pytest.raises(ValueError, match="low < high"):
        head.set_bounds(torch.ones(7), torch.ones(7))
    assert isinstance(small_policy().head, RegressionHead)


def test_the_average_of_weights_has_the_published_memory() -> None:
    assert ema_decay(1, 0.995) == pytest.approx(2 / 11)
    assert ema_decay(10_000, 0.995) == 0.995
    policy = small_policy()
    averaged = AveragedWeights(policy, 0.995)
    before = policy.head.action_pred.bias.detach().clone()
    with torch.no_grad():
        policy.head.action_pred.bias += 1.0
    averaged.update(policy, 1)
    expected = before + (1.0 - 2 / 11)
    torch.testing.assert_close(averaged.policy.head.action_pred.bias, expected)
