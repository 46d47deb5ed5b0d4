"""Train a small neural network on scikit-learn's digits and log every step.

python tools/demo/train.py --lr 0.1 [--steps 600] [--pace 0.0]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import runlane
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HIDDEN = 32
BATCH = 64
VALIDATE_EVERY = 10
SHOW_EVERY = 100
SHOWN_DIGITS = 12


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each class; `logits` has shape (n, 10)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


class Network:
    """One hidden layer with ReLU: 64 pixels, 32 units, 10 digits; trained by plain gradient descent."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.parameters = {
            "w1": rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN)),
            "b1": np.zeros(HIDDEN),
            "w2": rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10)),
            "b2": np.zeros(10),
        }

    def forward(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hidden activations (n, 32) and class probabilities (n, 10) of images (n, 64)."""
        hidden = np.maximum(images @ self.parameters["w1"] + self.parameters["b1"], 0)
        return hidden, softmax(hidden @ self.parameters["w2"] + self.parameters["b2"])

    def loss_and_accuracy(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """Mean cross-entropy in nats, and the share of right answers."""
        _, probabilities = self.forward(images)
        chosen = probabilities[np.arange(len(labels)), labels]
        return float(-np.log(chosen + 1e-12).mean()), float((probabilities.argmax(axis=1) == labels).mean())

    def gradients(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy by parameter name."""
        hidden, probabilities = self.forward(images)
        delta = probabilities
        delta[np.arange(len(labels)), labels] -= 1
        delta /= len(labels)
        back = (delta @ self.parameters["w2"].T) * (hidden > 0)
        return {"w1": images.T @ back, "b1": back.sum(0), "w2": hidden.T @ delta, "b2": delta.sum(0)}


def picture(pixels: np.ndarray, truth: int, guess: int) -> runlane.Image:
    """The digit of `pixels`, 64 shades from 0 to 1, with what it is and what the network takes it for."""
    return runlane.Image((pixels.reshape(8, 8) * 255).astype(np.uint8), caption=f"{truth} → {guess}")


def show(network: Network, images: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """What a person looks at while it trains: some digits with their guesses, and how the weights spread."""
    guesses = network.forward(images[:SHOWN_DIGITS])[1].argmax(axis=1)
    shown = zip(images, labels, guesses, strict=False)
    return {
        "val/predictions": [picture(pixels, truth, guess) for pixels, truth, guess in shown],
        "weights/w1": runlane.Histogram(network.parameters["w1"]),
    }


def mistakes(network: Network, images: np.ndarray, labels: np.ndarray) -> runlane.Table:
    """A row for each held-out digit that the network takes for another one."""
    probabilities = network.forward(images)[1]
    guesses = probabilities.argmax(axis=1)
    table = runlane.Table(columns=["digit", "truth", "guess", "confidence", "probability of the truth"])
    for index in np.flatnonzero(guesses != labels):
        truth, guess = int(labels[index]), int(guesses[index])
        sure = [float(probabilities[index, guess]), float(probabilities[index, truth])]
        table.add_data(picture(images[index], truth, guess), truth, guess, *sure)
    return table


def main() -> None:
    """Train once with the given learning rate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument(
        "--pace", type=float, default=0.0, help="seconds to wait after each step, to watch it live"
    )
    arguments = parser.parse_args()

    digits = load_digits()
    images, held_out, labels, held_out_labels = train_test_split(
        digits.data / 16.0, digits.target, test_size=0.25, random_state=0
    )
    network = Network(seed=0)
    rng = np.random.default_rng(0)
    config = {"learning_rate": arguments.lr, "batch_size": BATCH, "hidden": HIDDEN, "steps": arguments.steps}
    with runlane.init(project="digits", name=f"lr-{arguments.lr:g}", tags=["demo"], config=config) as run:
        run.define_metric("val/accuracy", summary="max")
        for step in range(arguments.steps):
            batch = rng.choice(len(images), BATCH, replace=False)
            loss, accuracy = network.loss_and_accuracy(images[batch], labels[batch])
            gradients = network.gradients(images[batch], labels[batch])
            row: dict[str, object] = {"train/loss": loss, "train/accuracy": accuracy}
            for name, gradient in gradients.items():
                row[f"gradient_norm/{name}"] = float(np.linalg.norm(gradient))
                network.parameters[name] -= arguments.lr * gradient
            if step % VALIDATE_EVERY == 0 or step == arguments.steps - 1:
                row["val/loss"], row["val/accuracy"] = network.loss_and_accuracy(held_out, held_out_labels)
            if step % SHOW_EVERY == 0 or step == arguments.steps - 1:
                row |= show(network, held_out, held_out_labels)
            if step == arguments.steps - 1:
                row["val/mistakes"] = mistakes(network, held_out, held_out_labels)
            run.log(row)
            if step % 100 == 0:
                print(f"lr {arguments.lr:g}  step {step:4d}  loss {loss:.3f}  accuracy {accuracy:.2f}")
            if arguments.pace:
                time.sleep(arguments.pace)
        model = runlane.Artifact(
            "digits-network", type="model", metadata={"val/accuracy": row["val/accuracy"]}
        )
        with model.new_file("parameters.npz", mode="wb") as file:
            np.savez(file, **network.parameters)
        run.log_artifact(model, aliases=[f"lr-{arguments.lr:g}"])


if __name__ == "__main__":
    main()
