"""TRL: `SFTTrainer` on a tiny random model, which reports as Transformers does."""

from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, set_seed
from trl import SFTConfig, SFTTrainer

WORDS = ["<pad>", "<unk>", "<eos>", *(f"w{number}" for number in range(40))]


def main():
    set_seed(1)
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )
    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=len(WORDS), n_positions=32))
    texts = [" ".join(f"w{(start + step) % 40}" for step in range(10)) for start in range(32)]
    arguments = SFTConfig(
        output_dir="out",
        report_to="wandb",
        run_name="sft",
        max_steps=10,
        logging_steps=5,
        save_strategy="no",
        per_device_train_batch_size=4,
        max_length=32,
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"text": texts}),
        processing_class=tokenizer,
    ).train()
    import wandb

    wandb.finish()


main()
