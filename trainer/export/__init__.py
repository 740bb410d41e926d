"""Trained networks for other programs: safetensors, ONNX, timm, the Hugging Face Hub."""
