"""Makes a two-layer BERT with a small vocabulary, which the fine-tuning tests train."""

from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

WORDS = [
    "red", "blue", "green", "black", "white", "shoe", "shirt", "jacket", "lamp", "chair", "table", "garden",
    "summer", "winter", "cotton", "leather", "wooden", "steel", "small", "large", "cheap", "warm", "light", "heavy",
    "for", "of", "the", "and", "with", "under", "best", "new", "men", "women", "kids", "running", "office",
    "kitchen", "rain", "snow", "sun", "coat", "boot", "sock", "hat", "belt", "desk", "sofa", "shelf", "rug",
]  # fmt: skip

HIDDEN = 32


def make_tiny_transformer(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """Writes an untrained encoder in transformers format; the same words give the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words)]
    pieces += [piece for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for piece in (letter, f"##{letter}")]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertTokenizerFast(vocab=vocabulary, model_max_length=64)
    generator_state = torch.get_rng_state()
    torch.manual_seed(7)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    )
    torch.set_rng_state(generator_state)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tiny_encoder(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """Writes an untrained encoder in sentence-transformers format (mean pooling, unit vectors)."""
    plain = make_tiny_transformer(folder / "plain", words)
    transformer = Transformer(str(plain))
    encoder = SentenceTransformer(modules=[transformer, Pooling(HIDDEN, "mean"), Normalize()], device="cpu")
    encoder.save_pretrained(str(folder / "encoder"))
    return folder / "encoder"
