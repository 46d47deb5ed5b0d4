"""TRL: `GRPOTrainer` with `log_completions=True`, which logs a DataFrame."""

from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, set_seed
from trl import GRPOConfig, GRPOTrainer

WORDS = ["<pad>", "<unk>", "<eos>", *(f"w{number}" for number in range(40))]


def reward(completions, **_columns):
    return [float(len(completion)) for completion in completions]


def main():
    set_seed(1)
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>", padding_side="left"
    )
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=len(WORDS), n_positions=64))
    arguments = GRPOConfig(
        output_dir="out",
        report_to="wandb",
        run_name="grpo",
        max_steps=2,
        logging_steps=1,
        save_strategy="no",
        per_device_train_batch_size=2,
        num_generations=2,
        max_completion_length=4,
        log_completions=True,
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    prompts = Dataset.from_dict({"prompt": [f"w{number} w{number + 1}" for number in range(8)]})
    GRPOTrainer(
        model=model, reward_funcs=reward, args=arguments, train_dataset=prompts, processing_class=tokenizer
    ).train()
    import wandb

    wandb.finish()


main()
