"""Reference autoencoder of the kinds ``encoder`` and ``adversarial``, as arrays of their state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.offset_kinds import Reference
from offset_autoencoder.config.schema import Network, Train
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.dense import forward, unit_norm
from offset_autoencoder.offsets import kind

Layer = tuple[NDArray[Any], NDArray[Any]]

# Of samples in memory: what is larger is trained on chunk by chunk.
_MEMORY_LIMIT = 512 * 2**20
# A stream of its own: a run with the same seed would start from the same weights, and see the
# same batches, so that its own code would be almost the reference's.
_STREAM = tuple(b"reference")


def fit_reference_state(
    where: str, params: Reference, training: kind.Training, latent_dim: int
) -> kind.State:
    """Fit the reference on the training split; the validation split tells when to stop.

    Returns:
        Its layers as ``encoder.N.kernel``, ``encoder.N.bias``, ``decoder.N. ...``, counted from
        1, and ``activation`` and ``normalize``.

    Raises:
        InputError: where the training diverged.
    """
    from offset_autoencoder.runs.files import TrainedRun
    from offset_autoencoder.training.engine import Population
    from offset_autoencoder.training.pool import train_population
    from offset_autoencoder.training.state import Job

    keys = params.model_dump(include=set(Reference.model_fields))
    shape = {key: value for key, value in keys.items() if key in Network.model_fields}
    train = Train(**{key: value for key, value in keys.items() if key in Train.model_fields})
    x, x_validation = np.asarray(training.x), training.x_validation
    watched = x[:1] if x_validation is None else np.asarray(x_validation)
    seed = np.random.SeedSequence(params.seed, spawn_key=_STREAM).generate_state(1)[0]
    job = Job(
        id="reference",
        seed=int(seed),
        offset=np.zeros((len(x), latent_dim), np.float32),
        offset_validation=np.zeros((len(watched), latent_dim), np.float32),
        stddev=0.0,
        learning_rate=train.learning_rate,
        epochs=train.epochs,
        patience=None if x_validation is None else train.patience,
    )
    network = Network(latent_dim=latent_dim, **shape)
    population = Population(
        Architecture(network=network, input_dim=x.shape[1]),
        train.batch_size,
        train.optimizer,
        _MEMORY_LIMIT,
        most_slots=1,
    )
    results: list[TrainedRun] = []
    train_population(population, [job], x, watched, lambda job, run: results.append(run))
    (run,) = results
    if run.weights is None:
        raise InputError(
            where,
            f"its reference autoencoder diverged in epoch {run.epochs}",
            "lower its learning_rate",
        )
    weights = dict(zip(population.weight_names, run.weights, strict=True))
    hidden = range(1, len(network.hidden) + 1)
    return {
        "activation": np.array(params.activation),
        "normalize": np.array(params.normalize),
        **{
            f"{part}.{number}.{name}": weights[f"{layer}/{name}"]
            for part, last in (("encoder", "code"), ("decoder", "reconstruction"))
            for number, layer in enumerate([*(f"{part}_{i}" for i in hidden), last], start=1)
            for name in ("kernel", "bias")
        },
    }


def encode(state: kind.State, x: kind.Float32) -> kind.Float64:
    """Code of samples under the reference, (n, latent_dim), in float64: so it is the same alone."""
    layers = layers_of("encoder", state)
    inputs, latent_dim = len(layers[0][0]), len(layers[-1][1])
    activations = [state["activation"].item()] * (len(layers) - 1) + ["linear"]
    with_activation = [(*layer, name) for layer, name in zip(layers, activations, strict=True)]
    code = np.empty((len(x), latent_dim))
    for block in kind.row_blocks(len(x), inputs):
        code[block] = forward(x[block].astype(np.float64), with_activation)
    return unit_norm(code) if state["normalize"].item() else code


def layers_of(part: str, state: kind.State) -> list[Layer]:
    """Kernel and bias of each layer of ``"encoder"`` or ``"decoder"``."""
    count = sum(key.startswith(f"{part}.") for key in state) // 2
    return [
        (state[f"{part}.{number}.kernel"], state[f"{part}.{number}.bias"])
        for number in range(1, count + 1)
    ]
