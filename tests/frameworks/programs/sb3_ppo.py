"""Stable-Baselines3: PPO with TensorBoard files that are mirrored, and the callback that wandb ships."""

import gymnasium
import wandb
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from wandb.integration.sb3 import WandbCallback


def main():
    run = wandb.init(
        name="ppo", config={"env": "CartPole-v1"}, sync_tensorboard=True, monitor_gym=True, save_code=True
    )
    env = DummyVecEnv([lambda: Monitor(gymnasium.make("CartPole-v1"))])
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=64,
        batch_size=32,
        n_epochs=1,
        seed=1,
        device="cpu",
        tensorboard_log=f"runs/{run.id}",
    )
    callback = WandbCallback(
        gradient_save_freq=2, model_save_path=f"models/{run.id}", model_save_freq=64, verbose=0
    )
    model.learn(total_timesteps=256, callback=callback, log_interval=1)
    run.finish()


main()
