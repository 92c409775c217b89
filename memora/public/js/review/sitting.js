// One sitting: its questions in order. A question that was answered wrong comes again at the end, as practice, until the
// answer is right.

export const isRight = (quality) => quality >= 3;

export class Sitting {
	constructor(questions, isLesson = false) {
		this.isLesson = isLesson;
		this.cards = questions.map((question) => ({ question, practice: false }));
		this.size = this.cards.length;
		this.answered = 0;
		this.rightAtOnce = 0;
	}

	// Returns the card to show; undefined at the end.
	get card() {
		return this.cards[0];
	}

	// Returns how many questions are done, which means answered right in the end. This number never falls.
	get done() {
		return this.size - new Set(this.cards.map((card) => card.question.question_id)).size;
	}

	// Takes the answer to the card that is shown.
	answer(quality) {
		const { question, practice } = this.cards.shift();
		if (!practice) this.answered += 1;
		if (!practice && isRight(quality)) this.rightAtOnce += 1;
		if (!isRight(quality)) this.cards.push({ question, practice: true });
	}

	// Drops a question that was answered in another tab. The card that is shown stays.
	drop(questionId) {
		const before = this.cards.length;
		this.cards = this.cards.filter(
			(card, place) => place === 0 || card.practice || card.question.question_id !== questionId,
		);
		this.size -= before - this.cards.length;
	}
}
