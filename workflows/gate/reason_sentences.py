# ruff: noqa: RUF001 - Russian and Ukrainian letters are meant
"""What a player may be told when they ask why something was sent or was not: a sentence a reason, in three languages.

They say what is so and no more: whose rule it was, the law's or the house's, stands in the decision. They name no
figure of the player's: whoever answers shows them as they are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from workflows.channels import CHANNELS
from workflows.gate.reasons import Reason

LANGUAGES: Final = ("en", "ru", "uk")


def _in(en: str, ru: str, uk: str) -> Mapping[str, str]:
    return MappingProxyType({"en": en, "ru": ru, "uk": uk})


#: What is said of a message that could be sent, and of a reward that could be given.
SENT: Final = _in(
    "You had agreed to hear from us this way, and nothing stood against it.",
    "Вы согласились получать от нас сообщения таким способом, и ничто этому не препятствовало.",
    "Ви погодилися отримувати від нас повідомлення таким способом, і ніщо цьому не заважало.",
)
NECESSARY_SENT: Final = _in(
    "It is about your account or your safety, and such messages are sent without being asked for.",
    "Это касается вашей учётной записи или вашей безопасности; такие сообщения отправляются без отдельного согласия.",
    "Це стосується вашого облікового запису або вашої безпеки; такі повідомлення надсилаються без окремої згоди.",
)
GIVEN: Final = _in(
    "You were free to have it, and nothing stood against it.",
    "Вы могли это получить, и ничто этому не препятствовало.",
    "Ви могли це отримати, і ніщо цьому не заважало.",
)
_UNKNOWN: Final = _in(
    "We do not know enough about your account to offer you anything.",
    "Мы недостаточно знаем о вашей учётной записи, чтобы что-либо предлагать.",
    "Ми недостатньо знаємо про ваш обліковий запис, щоб щось пропонувати.",
)
_OFTEN_ENOUGH: Final = _in(
    "You had heard from us often enough.",
    "Мы уже достаточно часто писали вам.",
    "Ми вже достатньо часто писали вам.",
)
_NOT_BY_YOUR_RULES: Final = _in(
    "The rules that hold for your account do not allow it.",
    "Правила, действующие для вашей учётной записи, этого не допускают.",
    "Правила, що діють для вашого облікового запису, цього не дозволяють.",
)
_ALL_GIVEN: Final = _in(
    "What we had to give that day was given.",
    "Всё, что мы могли раздать в тот день, уже было роздано.",
    "Усе, що ми могли роздати того дня, вже було роздано.",
)
_COMPARED: Final = _in(
    "You are among players whom we sometimes offer less, to learn what offers change.",
    "Вы среди игроков, которым мы иногда предлагаем меньше, чтобы узнать, что меняют предложения.",
    "Ви серед гравців, яким ми іноді пропонуємо менше, щоб дізнатися, що змінюють пропозиції.",
)
REFUSED: Final[Mapping[Reason, Mapping[str, str]]] = MappingProxyType(
    {
        Reason.UNKNOWN_PLAYER: _UNKNOWN,
        Reason.FACTS_UNREADABLE: _UNKNOWN,
        Reason.REGISTER_UNKNOWN: _in(
            "We could not ask the register of excluded players, and offer nothing without its answer.",
            "Мы не смогли обратиться к реестру самоисключённых игроков, а без его ответа ничего не предлагаем.",
            "Ми не змогли звернутися до реєстру самовиключених гравців, а без його відповіді нічого не пропонуємо.",
        ),
        Reason.DECEASED: _in(
            "We were told that the holder of the account has died, and write to it no more.",
            "Нам сообщили, что владелец учётной записи умер, и мы больше не пишем на неё.",
            "Нам повідомили, що власник облікового запису помер, і ми більше не пишемо на нього.",
        ),
        Reason.ACCOUNT_NOT_ACTIVE: _in(
            "Your account is not active.",
            "Ваша учётная запись не активна.",
            "Ваш обліковий запис не активний.",
        ),
        Reason.SELF_EXCLUDED: _in(
            "An exclusion from gambling holds for you, and we leave you alone.",
            "Для вас действует исключение из азартных игр, и мы вас не беспокоим.",
            "Для вас діє обмеження участі в азартних іграх, і ми вас не турбуємо.",
        ),
        Reason.TIME_OUT: _in(
            "You are taking a time-out, and we leave you alone until it ends.",
            "Вы взяли перерыв, и до его конца мы вас не беспокоим.",
            "Ви взяли перерву, і до її кінця ми вас не турбуємо.",
        ),
        Reason.COOLING_OFF: _in(
            "Your exclusion has ended only just, and we wait before we offer you anything.",
            "Срок вашего исключения истёк недавно, и пока мы ничего не предлагаем.",
            "Строк вашого обмеження нещодавно закінчився, і поки що ми нічого не пропонуємо.",
        ),
        Reason.HARM_SIGNAL: _in(
            "We hold offers back to protect you.",
            "Мы не делаем предложений, чтобы защитить вас.",
            "Ми не робимо пропозицій, щоб захистити вас.",
        ),
        Reason.PROMOTIONS_PAUSED: _in(
            "We are not making you offers for a while.",
            "Некоторое время мы не делаем вам предложений.",
            "Деякий час ми не робимо вам пропозицій.",
        ),
        Reason.TEST_ACCOUNT: _in(
            "This is a test account.", "Это тестовая учётная запись.", "Це тестовий обліковий запис."
        ),
        Reason.UNKNOWN_JURISDICTION: _in(
            "We make no offers where you live, or do not know where that is.",
            "Мы не делаем предложений там, где вы живёте, или не знаем, где это.",
            "Ми не робимо пропозицій там, де ви живете, або не знаємо, де це.",
        ),
        Reason.UNKNOWN_AGE: _in(
            "We do not know your age, and make offers only where we do.",
            "Мы не знаем вашего возраста, а без этого предложений не делаем.",
            "Ми не знаємо вашого віку, а без цього пропозицій не робимо.",
        ),
        Reason.TOO_YOUNG: _in(
            "We make no offers to players of your age.",
            "Игрокам вашего возраста мы предложений не делаем.",
            "Гравцям вашого віку ми пропозицій не робимо.",
        ),
        Reason.LIMIT_REACHED: _in(
            "You stand at a limit that you have set, and we offer nothing against it.",
            "Вы достигли установленного вами лимита, и мы ничего не предлагаем вопреки ему.",
            "Ви досягли встановленого вами ліміту, і ми нічого не пропонуємо всупереч йому.",
        ),
        Reason.OPEN_CHECK: _in(
            "A check of your account is not finished yet.",
            "Проверка вашей учётной записи ещё не завершена.",
            "Перевірку вашого облікового запису ще не завершено.",
        ),
        Reason.NO_CONSENT: _in(
            "You have not agreed to hear from us this way.",
            "Вы не соглашались получать от нас сообщения таким способом.",
            "Ви не погоджувалися отримувати від нас повідомлення таким способом.",
        ),
        Reason.NO_PRODUCT_CONSENT: _in(
            "You have not agreed to hear from us this way about this kind of gambling.",
            "Вы не соглашались получать таким способом сообщения об этом виде игр.",
            "Ви не погоджувалися отримувати таким способом повідомлення про цей вид ігор.",
        ),
        Reason.CONSENT_ELSEWHERE: _in(
            "Your agreement to hear from us was not given where you live now.",
            "Ваше согласие получать сообщения было дано не там, где вы сейчас живёте.",
            "Вашу згоду отримувати повідомлення було надано не там, де ви зараз живете.",
        ),
        Reason.PROFILING: _in(
            "You objected to offers that go by what you do with us.",
            "Вы возразили против предложений, основанных на том, что вы у нас делаете.",
            "Ви заперечили проти пропозицій, що ґрунтуються на тому, що ви в нас робите.",
        ),
        Reason.NO_ADDRESS: _in(
            "We have no address of yours that works for this.",
            "У нас нет вашего действующего адреса для этого.",
            "У нас немає вашої чинної адреси для цього.",
        ),
        Reason.UNKNOWN_TIMEZONE: _in(
            "We do not know your time zone and do not want to wake you.",
            "Мы не знаем вашего часового пояса и не хотим вас разбудить.",
            "Ми не знаємо вашого часового поясу й не хочемо вас розбудити.",
        ),
        Reason.QUIET_HOURS: _in(
            "It was night where you are, and we wait for the morning.",
            "У вас была ночь, и мы ждём утра.",
            "У вас була ніч, і ми чекаємо ранку.",
        ),
        Reason.TOO_LATE: _in(
            "It would have come too late to be of use.",
            "Это пришло бы слишком поздно, чтобы быть полезным.",
            "Це надійшло б надто пізно, щоб бути корисним.",
        ),
        Reason.ACTIVE_TODAY: _in(
            "You had been with us within the 24 hours before, so it was not needed.",
            "Вы были у нас в течение предыдущих 24 часов, и это не понадобилось.",
            "Ви були в нас протягом попередніх 24 годин, і це не знадобилося.",
        ),
        Reason.OUTRANKED: _OFTEN_ENOUGH,
        Reason.SORE: _in(
            "You had just lost or complained, and that is no time for questions.",
            "Вы только что проиграли или пожаловались, это не время для вопросов.",
            "Ви щойно програли або поскаржилися, це не час для запитань.",
        ),
        Reason.DAILY_CAP: _OFTEN_ENOUGH,
        Reason.WEEKLY_CAP: _OFTEN_ENOUGH,
        Reason.CHANNEL_WEEKLY_CAP: _OFTEN_ENOUGH,
        Reason.PROTECTED_MEANWHILE: _in(
            "Before it reached you something changed that protects you.",
            "Прежде чем это дошло до вас, изменилось то, что вас защищает.",
            "Перш ніж це дійшло до вас, змінилося те, що вас захищає.",
        ),
        Reason.WAGER_TOO_HIGH: _in(
            "Its wagering was higher than allowed.",
            "Условия отыгрыша были выше допустимых.",
            "Умови відіграшу були вищими за дозволені.",
        ),
        Reason.MIXED_PRODUCTS: _in(
            "It would have joined two kinds of gambling, and we keep them apart.",
            "Это соединило бы два вида игр, а мы их не смешиваем.",
            "Це поєднало б два види ігор, а ми їх не змішуємо.",
        ),
        Reason.NOT_THE_FIRST_BONUS: _in(
            "The rules that hold for your account allow a first bonus only, and you had one.",
            "Правила, действующие для вашей учётной записи, допускают только первый бонус, а он у вас уже был.",
            "Правила, що діють для вашого облікового запису, дозволяють лише перший бонус, а він у вас уже був.",
        ),
        Reason.OVER_VALUE: _in(
            "You had as many bonuses of late as we give.",
            "В последнее время вы получили столько бонусов, сколько мы даём.",
            "Останнім часом ви отримали стільки бонусів, скільки ми даємо.",
        ),
        Reason.OVER_JOURNEY_BUDGET: _ALL_GIVEN,
        Reason.OVER_BRAND_BUDGET: _ALL_GIVEN,
        Reason.WITHHELD_CONTROL: _COMPARED,
        Reason.WITHHELD_HOLDOUT: _COMPARED,
        Reason.WELCOME_BONUS: _NOT_BY_YOUR_RULES,
        Reason.IN_PLAY: _in(
            "You were logged in or had just played, as far as we know, and nothing is given during play.",
            "Насколько нам известно, вы были в системе или только что играли, а во время игры ничего не даётся.",
            "Наскільки нам відомо, ви були в системі або щойно грали, а під час гри нічого не надається.",
        ),
        Reason.OPTED_OUT: _in(
            "You have said that you want no part of points, missions and prizes; you can change that at any time.",
            "Вы отказались от баллов, миссий и призов; это можно изменить в любой момент.",
            "Ви відмовилися від балів, місій і призів; це можна змінити будь-коли.",
        ),
        Reason.BANNED_REWARD: _NOT_BY_YOUR_RULES,
        Reason.NEW_CUSTOMER: _in(
            "Your account is too new for it under the rules that hold for it.",
            "По действующим для неё правилам ваша учётная запись для этого слишком новая.",
            "За чинними для нього правилами ваш обліковий запис для цього занадто новий.",
        ),
    }
)


_PRODUCT_REFUSED: Final = _in(
    "You have said No to hearing from us this way about this kind of gambling.",
    "Вы отказались получать таким способом сообщения об этом виде игр.",
    "Ви відмовилися отримувати таким способом повідомлення про цей вид ігор.",
)


def told_of(
    reason: str | None, subject: str, *, necessary: bool, product_refused: bool = False
) -> Mapping[str, str] | None:
    """What a player may be told, by language: why not, or without a reason why; None for a reason nobody knows here.

    `subject` is the channel of a message or the kind of a reward, `necessary` whether consent was not asked for,
    `product_refused` whether a missing consent is a No to this kind of gambling alone.
    """
    if product_refused and reason == Reason.NO_CONSENT:
        return _PRODUCT_REFUSED
    if reason is not None:
        return next((words for known, words in REFUSED.items() if known == reason), None)
    if subject not in CHANNELS:
        return GIVEN
    return NECESSARY_SENT if necessary else SENT
