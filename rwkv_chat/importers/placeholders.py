"""What messengers write in the place of a picture, a call or a deleted message, in their languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, cast

from rwkv_chat.importers.forms import Attachment

if TYPE_CHECKING:
    from rwkv_chat.importers.forms import Kind

# German, Spanish, French, Portuguese, Italian, Chinese (both scripts), Japanese and Korean beside English
_ATTACHED_BEFORE = (
    *("attached", "angehängt", "Anhang", "adjunto", "pièce jointe", "anexado", "allegato"),
    *("附件", "添付ファイル"),
)
_ATTACHED_AFTER = (
    *("file attached", "Datei angehängt", "archivo adjunto", "fichier joint", "arquivo anexado"),
    *("file allegato", "文件附件", "檔案附件", "ファイル添付"),
)
_DELETED_WORDS = (
    *("You deleted this message", "This message was deleted", "Message unsent"),
    *("Du hast diese Nachricht gelöscht", "Diese Nachricht wurde gelöscht"),
    *("Eliminaste este mensaje", "Se eliminó este mensaje"),
    *("Vous avez supprimé ce message", "Ce message a été supprimé"),
    *("Você apagou esta mensagem", "Mensagem apagada"),
    *("Hai eliminato questo messaggio", "Questo messaggio è stato eliminato"),
    *("你已删除此消息", "此消息已删除", "您刪除了此訊息", "此訊息已刪除"),
    *("このメッセージは削除されました", "メッセージの送信を取り消しました"),
)
_ANY_WORDS = (
    *("Media omitted", "Medien ausgeschlossen", "Multimedia omitido", "Archivo omitido", "Médias omis"),
    *("Mídia oculta", "Arquivo de mídia oculto", "Media omessi", "媒体内容已省略", "忽略多媒体文件"),
    *("略過多媒體檔", "媒體已略去", "メディアは含まれていません", "미디어 파일을 제외한 내용"),
)
_CALL_WORDS = (
    *(r"(?:Missed|Silenced) (?:group )?(?:voice|video) call", "Verpasster (?:Sprach|Video)anruf"),
    *(r"Llamada (?:de voz|de video|grupal) perdida", r"Appel (?:vocal|vidéo) manqué"),
    *(r"Chamada de (?:voz|vídeo) perdida", r"Chiamata (?:vocale|video) persa"),
    *(r"未接(?:语音|視訊|视频|語音)?(?:通话|通話|来电)", r"(?:Voice|Video) call[.,].{0,40}", r"☎.{0,80}"),
)
_POLL_WORDS = ("POLL", "UMFRAGE", "ENCUESTA", "SONDAGE", "ENQUETE", "SONDAGGIO", "投票")
_PLACE_WORDS = ("location", "Standort", "Ubicación", "Position", "Localização", "位置")
_KIND_WORDS: dict[Kind, tuple[str, ...]] = {
    "image": (
        "image",
        "Bild",
        "imagen",
        "imagem",
        "immagine",
        "图片",
        "圖片",
        "画像",
        "写真",
        "photo",
        "照片",
        "사진",
    ),
    "video": (
        "video",
        "vídeo",
        "vidéo",
        "GIF",
        "视频",
        "影片",
        "動画",
        "video note",
        "video message",
        "동영상",
    ),
    "audio": ("audio", "áudio", "音频", "音訊", "语音", "語音", "ボイスメッセージ", "voice message", "音声"),
    "sticker": ("sticker", "figurinha", "autocollant", "贴图", "貼圖", "动画表情", "スタンプ", "스티커"),
    "file": ("document", "Dokument", "documento", "文件", "檔案", "ファイル", "file"),
    "contact": ("contact card", "Kontaktkarte", "联系人卡片", "連絡先", "聯絡資訊", "contact", "名片"),
    "place": ("location", "位置情報", "位置", "地图", "地理位置"),
}
_LEFT_OUT = (
    *("omitted", "weggelassen", "ausgeschlossen", "omitid[oa]", "absente?", "ocult[oa]", "omess[oai]"),
    *("已省略", "已略過", "略過", "省略", "は含まれていません"),
)
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "image": ("jpg", "jpeg", "png", "gif", "heic", "bmp"),
    "sticker": ("webp", "tgs"),
    "video": ("mp4", "mov", "avi", "mkv", "webm", "3gp"),
    "audio": ("opus", "ogg", "mp3", "m4a", "aac", "wav", "amr"),
    "contact": ("vcf",),
}


def _any(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(words)})"


_ATTACHED = re.compile(
    rf"<{_any(_ATTACHED_BEFORE)}\s?[:\uff1a]\s?(?P<ios>[^<>\n]{{1,200}})>"
    rf"|^(?P<android>[^\n/\\]{{1,200}}\.\w{{2,5}}) \({_any(_ATTACHED_AFTER)}\)"
)
_ANY = re.compile(f"<{_any(_ANY_WORDS)}>")
_POLL = re.compile(rf"{_any(_POLL_WORDS)}[:\uff1a]\s*(?P<asked>[^\n]{{0,300}})")
_ALONE = re.compile(  # one pattern: most messages are none of these, and there are millions
    "|".join(
        (
            rf"(?P<deleted>{_any(_DELETED_WORDS)}\.?)",
            rf"(?P<call>{_any(_CALL_WORDS)})",
            rf"(?P<link>{_any(_PLACE_WORDS)}[:\uff1a] https?://\S+)",
            *(
                rf"(?P<{kind}><?{_any(words)}\s?{_any(_LEFT_OUT)}>?|[\[［【]{_any(words)}[\]］】])"
                for kind, words in _KIND_WORDS.items()
            ),
        )
    ),
    re.IGNORECASE,
)
LONGEST = 1_000  # characters of what stands for something else


def placeholder(said: str) -> tuple[Attachment, str] | Literal["deleted"] | None:
    """What a text stands for: an attachment and the words beside it; that it was deleted; None: itself."""
    head = said[:LONGEST]
    if attached := _ATTACHED.search(head):
        name = (attached["ios"] or attached["android"]).strip()
        return Attachment(kind_of(name), name), (said[: attached.start()] + said[attached.end() :]).strip()
    if polled := _POLL.match(head):
        return Attachment("poll", polled["asked"].strip()), ""
    if hidden := _ANY.match(head):
        return Attachment("other"), said[hidden.end() :].strip()
    return _alone(said) if len(said) < LONGEST else None


def _alone(said: str) -> tuple[Attachment, str] | Literal["deleted"] | None:
    found = _ALONE.fullmatch(said)
    if found is None:
        return None
    if found.lastgroup == "deleted":
        return "deleted"
    kind: Kind = "place" if found.lastgroup == "link" else cast("Kind", found.lastgroup)
    return Attachment(kind), ""


def kind_of(name: str) -> Kind:
    """The kind of a file by the end of its name."""
    suffix = name.rpartition(".")[2].lower()
    found: Kind | None = next((kind for kind, known in _SUFFIXES.items() if suffix in known), None)
    return found or "file"
