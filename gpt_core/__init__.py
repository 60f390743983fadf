"""Language models from basic operations: raw text in, a trained and evaluated GPT out.

Nothing here depends on an orchestrator or a tracking server. The packages in the order of the
pipeline: ``text``, ``tokenizers``, ``data``, ``models``, ``optim``, ``execution``, ``training``,
``evaluation``, ``generation``, ``finetuning``, ``interop``. ``python -m gpt_core`` trains and
generates without anything else.
"""

__version__ = "0.1.0"
