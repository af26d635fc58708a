#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/ref/chat_templates.json: what transformers' apply_chat_template makes of
conversations with chat templates of every family, and which tokens it takes for answers.

    python tests/ref/chat_templates.py

The templates are written here from the documented formats; {% generation %} marks what a model is
to say, end mark included. Families (the first group) are those that tokentune knows by name; the
others are ways of writing that models' own templates use.
"""
import json
import pathlib
from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
ALTERNATE = """{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}
{{ raise_exception('roles must alternate') }}{%- endif -%}"""

FAMILIES = {
    "llama2": """{%- if messages[0]['role'] == 'system' -%}
    {%- set rest = messages[1:] -%}{%- set system = messages[0]['content'] -%}
{%- else -%}
    {%- set rest = messages -%}{%- set system = false -%}
{%- endif -%}
{%- for m in rest -%}
    """ + ALTERNATE + """
    {%- if loop.index0 == 0 and system != false -%}
        {%- set text = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m['content'] -%}
    {%- else -%}{%- set text = m['content'] -%}{%- endif -%}
    {%- if m['role'] == 'user' -%}{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}
    {%- elif m['role'] == 'assistant' -%}
        {{- ' ' }}{%- generation -%}{{ text.strip() + ' ' + eos_token }}{%- endgeneration -%}
    {%- endif -%}
{%- endfor -%}""",
    "llama3": """{% for m in messages %}
{% set head = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' %}
{% if loop.first %}{% set head = bos_token + head %}{% endif %}
{{- head -}}
{% if m.role == 'assistant' %}
{%- generation %}{{ m.content | trim + '<|eot_id|>' -}}{% endgeneration %}
{% else %}
{{- m.content | trim + '<|eot_id|>' -}}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{% endif %}""",
    "chatml": """{% for m in messages %}
{{ '<|im_start|>' + m['role'] + '\\n' -}}
{% if m['role'] == 'assistant' %}
{%- generation %}{{ m['content'] + '<|im_end|>' -}}{% endgeneration %}
{% else %}
{{- m['content'] + '<|im_end|>' -}}
{% endif %}
{{- '\\n' -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    "mistral": """{{ bos_token }}{% set ns = namespace(system=none) %}
{%- if messages[0].role == "system" %}{% set ns.system = messages[0].content %}
{%- set messages = messages[1:] %}{% endif %}
{%- for m in messages %}
    """ + ALTERNATE + """
    {%- if m.role == "user" %}
        {%- if loop.first and ns.system is not none %}
            {{- "[INST] " + ns.system + "\\n\\n" + m.content + " [/INST]" }}
        {%- else %}
            {{- "[INST] " ~ m.content ~ " [/INST]" }}
        {%- endif %}
    {%- else %}{{- " " }}{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% endif %}
{%- endfor %}""",
    "gemma": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = messages[0]['content'] + '\n\n' -%}{%- set rest = messages[1:] -%}
{%- else -%}
    {%- set prefix = "" -%}{%- set rest = messages -%}
{%- endif -%}
{%- for m in rest -%}
    """ + ALTERNATE + """
    {%- set role = "model" if m['role'] == 'assistant' else m['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + (prefix if loop.first else "") }}
    {%- if role == "model" -%}
        {%- generation -%}{{ m['content'] | trim ~ '<end_of_turn>' }}{%- endgeneration -%}{{ '\n' }}
    {%- elif m['content'] is string -%}{{ m['content'] | trim }}{{ '<end_of_turn>\n' }}
    {%- elif m['content'] is iterable -%}
        {%- for item in m['content'] -%}{{ item['text'] | trim }}{%- endfor -%}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}
""",
    "zephyr": """{% for m in messages %}
{% if m['role'] == 'user' %}
{{ '<|user|>\n' + m['content'] + eos_token }}
{% elif m['role'] == 'system' %}
{{ '<|system|>\n' + m['content'] + eos_token }}
{% elif m['role'] == 'assistant' %}
{{ '<|assistant|>\n' -}}{% generation %}{{ m['content'] + eos_token }}{% endgeneration +%}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
""",
}

OTHERS = {
    "default-system": """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a careful helper.<|im_end|>\\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if (m.role == "user") or (m.role == "system" and not loop.first)
            or (m.role == "assistant" and not m.tool_calls) %}
        {{- '<|im_start|>' + m.role + '\\n' }}
        {%- if m.role == "assistant" %}
            {%- generation %}{{- m.content + '<|im_end|>' }}{%- endgeneration %}
        {%- else %}{{- m.content + '<|im_end|>' }}{%- endif %}{{- '\\n' }}
    {%- elif m.role == "assistant" %}
        {%- for call in m.tool_calls %}{{- call.function.name | tojson }}{%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    "thinking": """{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for m in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and m.role == "user" and m.content is string
            and not(m.content.startswith('<tool>') and m.content.endswith('</tool>')) %}
        {%- set ns.searching = false %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.role == "assistant" %}
        {%- set content = m.content %}{%- set thought = '' %}
        {%- if '</think>' in m.content %}
            {%- set content = m.content.split('</think>')[-1].lstrip('\\n') %}
            {%- set thought = m.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] %}
            {%- set thought = thought.lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + m.role + '\\n' }}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}{{- content }}{%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>' }}{%- endif %}
{%- endif %}""",
    "dated": """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%%d Jul 2024") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\nToday Date: " + date_string + "\\n\\n" }}
{{- system_message }}{{- "<|eot_id|>" }}
{%- for m in messages %}
    {%- if not (m.role == 'ipython' or m.role == 'tool' or 'tool_calls' in m) %}
        {{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n'+ m['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in m %}
        {%- if not m.tool_calls|length == 1 %}{{- raise_exception("one call at a time") }}{%- endif %}
        {%- for name, value in m.tool_calls[0].arguments | items %}
            {{- name + '="' + value + '"' }}{%- if not loop.last %}{{- ", " }}{%- endif %}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
""",
    "system-last": """{%- set loop_messages = messages %}
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{{- bos_token }}
{#- a comment with '}}' in it -#}
{%- for m in loop_messages | rejectattr("role", "equalto", "tool") %}
    {%- if m["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + m["content"] + "[/INST]" }}
        {%- else %}{{- "[INST] " + m["content"] + "[/INST]" }}{%- endif %}
    {%- elif m["role"] == "assistant" %}{{- " " + m["content"]|trim + eos_token}}
    {%- else %}{{- raise_exception("only user and assistant") }}{%- endif %}
{%- endfor %}
""",
    "line-goes-on": """{%- set first = "Be \\"kind\\",\\
 and \\
brief." %}
{%- set kept = [] %}
{%- for m in messages %}{%- if m.role not in ["tool"] and not m.get("calls") %}
    {%- set kept = kept + [m] %}{%- endif %}{%- endfor %}
{%- for m in kept %}{{ raise_exception('a loop keeps what it sets') }}{%- endfor %}
{{- bos_token ~ first ~ '\\n' }}
{%- for m in messages %}
    {{- loop.index ~ (' of %s' if false else ' of ') ~ loop.length }} {{ m.role | upper }}: {{ m.content }}
    {%- if m.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' -}}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT:'[:9] ~ ':' }}{% endif %}""",
    "no-system": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}{% if (m['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}""",
    "macro": """{% macro turn(role, text, end='<|end|>') -%}
<|{{ role }}|>
{{ text }}{{ end }}
{% endmacro %}
{% for m in messages %}
{% if m.role not in ['system', 'user', 'assistant'] %}{% continue %}{% endif %}
{{- turn(m.role, m.content) -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}""",
}

CONVERSATIONS = [
    [("user", "What is 2+2?")],
    [("user", "What is 2+2?"), ("assistant", "4")],
    [("system", "Answer briefly."), ("user", "Name a river."), ("assistant", "The Rhine.")],
    [("user", " Hello there \n"), ("assistant", "\n Hi! How are you? "), ("user", "Fine.\u3000"),
     ("assistant", "Glad to hear it.\n\nAnything else?"), ("user", "No {user}, 'thanks'")],
    [("system", "  Two\nlines with {braces} "), ("user", "a"), ("assistant", "b b"),
     ("user", "Größe 火车"), ("assistant", "Übung 七点 👍🏽")],
    [("user", "Think."), ("assistant", "<think>\nhm\n</think>\n\nOne."), ("user", "Again."),
     ("assistant", "<think>\nwell,\nhm\n</think>\n\nTwo.")],
    [("assistant", "I begin."), ("user", "Why?")],
]


def load(style):
    special = {"llama2": ("<s>", "</s>"), "metaspace": ("<s>", "</s>"), "unigram": (None, "</s>")}
    bos, eos = special.get(style, ("<s>", "<|endoftext|>"))
    path = HERE / "tokenizer_cases" / style / "tokenizer.json"
    return PreTrainedTokenizerFast(tokenizer_file=str(path), bos_token=bos, eos_token=eos), bos, eos


def turns(conversation):
    return [{"role": r, "content": c} for r, c in conversation]


def main():
    out = {"templates": {**FAMILIES, **OTHERS}, "families": list(FAMILIES),
           "conversations": [turns(c) for c in CONVERSATIONS], "texts": [], "tokens": []}
    tok, _, _ = load("llama2")
    for name, source in out["templates"].items():
        for i, c in enumerate(out["conversations"]):
            for prompt in (False, True):
                case = {"template": name, "conversation": i, "prompt": prompt}
                try:
                    case["text"] = tok.apply_chat_template(
                        c, chat_template=source, tokenize=False, add_generation_prompt=prompt)
                except Exception as e:
                    if "TemplateError" not in type(e).__name__:
                        raise
                out["texts"].append(case)
    for style in ("llama2", "metaspace", "llama3", "gpt2", "qwen2"):
        tok, bos, eos = load(style)
        for name, source in FAMILIES.items():
            for i in (1, 2, 4, 5):
                enc = tok.apply_chat_template(
                    out["conversations"][i], chat_template=source, return_dict=True,
                    return_assistant_tokens_mask=True)
                out["tokens"].append({
                    "style": style, "bos": bos, "eos": eos, "template": name, "conversation": i,
                    "ids": enc["input_ids"], "answer": "".join(map(str, enc["assistant_masks"]))})
    text = json.dumps(out, ensure_ascii=True, separators=(",", ":"))
    (HERE / "chat_templates.json").write_text(text.replace('},{"', '},\n{"') + "\n")


main()
