"""Makes the pictures of docs/images: `./dev screenshots`."""

REVIEW_PICTURES = ("review-question", "review-grades", "review-arabic")
DESK_PICTURES = ("workspace", "retention", "memory", "season", "season-archive", "write-jobs", "anki-import")
PICTURES = (*REVIEW_PICTURES, *DESK_PICTURES)
