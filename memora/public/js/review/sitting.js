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

	// Takes the answer to the card that is shown. Returns a function that takes it back: then its card is the next one.
	answer(quality) {
		const card = this.cards.shift();
		const { question, practice } = card;
		const again = isRight(quality) ? null : { question, practice: true };
		const counts = [Number(!practice), Number(!practice && isRight(quality))];
		this.count(...counts);
		if (again) this.cards.push(again);
		return () => {
			this.cards = [card, ...this.cards.filter((other) => other !== again)];
			this.count(...counts.map((count) => -count));
		};
	}

	count(answered, rightAtOnce) {
		this.answered += answered;
		this.rightAtOnce += rightAtOnce;
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
